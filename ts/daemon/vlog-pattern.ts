/** Log patterns: `%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m`, as `vlog/set PATTERN:` takes them. */

/** What one line is made from. */
export interface LogRecord {
  readonly wallMs: number;
  readonly sequence: number;
  readonly module: string;
  /** In capitals, as it is printed. */
  readonly level: string;
  readonly text: string;
}

/** What is the same for all lines of a process. */
export interface LogOrigin {
  readonly program: string;
  readonly hostname: string;
  readonly pid: number;
  readonly startedMs: number;
  /** Facility and severity as syslog numbers them. */
  readonly priority: (level: string) => number;
}

type Part = (record: LogRecord, origin: LogOrigin) => string;

const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"] as const;
const months = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
] as const;

/** The fields of a date in universal or in local time. */
function dateFields(wallMs: number, utc: boolean) {
  const date = new Date(wallMs);
  if (utc) {
    return {
      year: date.getUTCFullYear(),
      month: date.getUTCMonth(),
      day: date.getUTCDate(),
      weekday: date.getUTCDay(),
      hour: date.getUTCHours(),
      minute: date.getUTCMinutes(),
      second: date.getUTCSeconds(),
      offsetMinutes: 0,
    };
  }
  return {
    year: date.getFullYear(),
    month: date.getMonth(),
    day: date.getDate(),
    weekday: date.getDay(),
    hour: date.getHours(),
    minute: date.getMinutes(),
    second: date.getSeconds(),
    offsetMinutes: -date.getTimezoneOffset(),
  };
}

const two = (value: number): string => String(value).padStart(2, "0");

/** strftime(3) for the conversions that log patterns use, and `###` for milliseconds. */
export function formatDate(template: string, wallMs: number, utc: boolean): string {
  const at = dateFields(wallMs, utc);
  const convert = (letter: string): string => {
    switch (letter) {
      case "Y":
        return String(at.year);
      case "y":
        return two(at.year % 100);
      case "m":
        return two(at.month + 1);
      case "d":
        return two(at.day);
      case "e":
        return String(at.day).padStart(2, " ");
      case "H":
        return two(at.hour);
      case "I":
        return two(at.hour % 12 === 0 ? 12 : at.hour % 12);
      case "p":
        return at.hour < 12 ? "AM" : "PM";
      case "M":
        return two(at.minute);
      case "S":
        return two(at.second);
      case "T":
        return `${two(at.hour)}:${two(at.minute)}:${two(at.second)}`;
      case "R":
        return `${two(at.hour)}:${two(at.minute)}`;
      case "F":
        return `${at.year}-${two(at.month + 1)}-${two(at.day)}`;
      case "D":
        return `${two(at.month + 1)}/${two(at.day)}/${two(at.year % 100)}`;
      case "b":
      case "h":
        return months[at.month]!.slice(0, 3);
      case "B":
        return months[at.month]!;
      case "a":
        return days[at.weekday]!.slice(0, 3);
      case "A":
        return days[at.weekday]!;
      case "s":
        return String(Math.floor(wallMs / 1000));
      case "z": {
        const minutes = Math.abs(at.offsetMinutes);
        return `${at.offsetMinutes < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}${two(minutes % 60)}`;
      }
      case "Z":
        return utc ? "UTC" : "";
      case "n":
        return "\n";
      case "t":
        return "\t";
      case "%":
        return "%";
      default:
        return `%${letter}`;
    }
  };
  const milliseconds = String(Math.floor(wallMs) % 1000).padStart(3, "0");
  return template
    .replace(/%([a-zA-Z%])/g, (_, letter: string) => convert(letter))
    .replace(/#+/g, (marks) => milliseconds.slice(0, marks.length).padEnd(marks.length, "0"));
}

function conversion(letter: string, argument: string | undefined): Part {
  switch (letter) {
    case "A":
      return (_, origin) => origin.program;
    case "B":
      return (record, origin) => String(origin.priority(record.level));
    case "c":
      return (record) => record.module;
    case "d":
      return (record) => formatDate(argument ?? "%Y-%m-%d %H:%M:%S.###", record.wallMs, false);
    case "D":
      return (record) => formatDate(argument ?? "%Y-%m-%d %H:%M:%S.###", record.wallMs, true);
    case "E":
      return (_, origin) => origin.hostname;
    case "m":
      return (record) => record.text;
    case "N":
      return (record) => String(record.sequence);
    case "n":
      return () => "\n";
    case "p":
      return (record) => record.level;
    case "P":
      return (_, origin) => String(origin.pid);
    case "r":
      return (record, origin) => String(Math.max(Math.floor(record.wallMs - origin.startedMs), 0));
    // Name of the thread, which is empty for the main one, and everything here logs from the main one.
    case "t":
      return () => argument ?? "";
    case "T":
      return () => (argument === undefined ? "" : `(${argument})`);
    default:
      return () => letter;
  }
}

/** Turns a pattern into what formats lines by it.  Anything is a pattern; unknown conversions print their letter. */
export function compilePattern(pattern: string): (record: LogRecord, origin: LogOrigin) => string {
  const parts: Part[] = [];
  const specifier = /%(-?)(0?)(\d*)([a-zA-Z%])(?:\{([^}]*)\})?/y;
  let at = 0;
  while (at < pattern.length) {
    specifier.lastIndex = at;
    const match = specifier.exec(pattern);
    if (match === null) {
      const end = pattern.indexOf("%", at + 1);
      const literal = pattern.slice(at, end < 0 ? pattern.length : end);
      parts.push(() => literal);
      at += literal.length;
      continue;
    }
    const [all, left, zero, width, letter = "", argument] = match;
    const part = conversion(letter, argument);
    const size = Math.min(Number(width), 1000);
    const pad = zero === "0" ? "0" : " ";
    if (size === 0) parts.push(part);
    else if (left === "-") parts.push((record, origin) => part(record, origin).padEnd(size, " "));
    else parts.push((record, origin) => part(record, origin).padStart(size, pad));
    at += all.length;
  }
  return (record, origin) => parts.map((part) => part(record, origin)).join("");
}
