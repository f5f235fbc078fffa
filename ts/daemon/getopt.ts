/** Options as getopt_long(3) reads them: abbreviations, `--name=value`, clustered short letters, words anywhere, `--`.
 *  The texts of its errors are glibc's, because people see them and scripts compare them. */

export interface LongOption {
  readonly name: string;
  readonly argument: "none" | "required" | "optional";
  /** The same by one letter. */
  readonly short?: string;
}

export type OptionEvent =
  | { readonly kind: "option"; readonly name: string; readonly value: string | undefined }
  | { readonly kind: "word"; readonly word: string }
  | { readonly kind: "error"; readonly text: string };

/** Goes through the arguments one by one, so that what an early one does happens before a later one is looked at. */
export function* getopt(args: readonly string[], options: readonly LongOption[]): Generator<OptionEvent> {
  for (let at = 0; at < args.length; at++) {
    const word = args[at]!;
    if (word === "--") {
      for (const rest of args.slice(at + 1)) yield { kind: "word", word: rest };
      return;
    }
    if (word.startsWith("--")) {
      const event = longOption(word, args[at + 1], options);
      if (event.usedNext) at++;
      yield event.event;
    } else if (word.startsWith("-") && word.length > 1) {
      const { events, usedNext } = shortOptions(word, args[at + 1], options);
      if (usedNext) at++;
      yield* events;
    } else {
      yield { kind: "word", word };
    }
  }
}

interface Taken<T> {
  readonly usedNext: boolean;
  readonly event: T;
}

function longOption(word: string, next: string | undefined, options: readonly LongOption[]): Taken<OptionEvent> {
  const equals = word.indexOf("=");
  const given = equals < 0 ? word.slice(2) : word.slice(2, equals);
  const inline = equals < 0 ? undefined : word.slice(equals + 1);
  const fail = (text: string): Taken<OptionEvent> => ({ usedNext: false, event: { kind: "error", text } });

  const exact = options.find((option) => option.name === given);
  const candidates = exact === undefined ? options.filter((option) => option.name.startsWith(given)) : [exact];
  const option = candidates[0];
  if (option === undefined) return fail(`unrecognized option '--${given}'`);
  if (candidates.length > 1) {
    const names = candidates.map((candidate) => ` '--${candidate.name}'`).join("");
    return fail(`option '--${given}' is ambiguous; possibilities:${names}`);
  }
  if (option.argument === "none" && inline !== undefined) {
    return fail(`option '--${option.name}' doesn't allow an argument`);
  }
  if (option.argument === "required" && inline === undefined) {
    if (next === undefined) return fail(`option '--${option.name}' requires an argument`);
    return { usedNext: true, event: { kind: "option", name: option.name, value: next } };
  }
  return { usedNext: false, event: { kind: "option", name: option.name, value: inline } };
}

function shortOptions(
  word: string,
  next: string | undefined,
  options: readonly LongOption[],
): { readonly usedNext: boolean; readonly events: readonly OptionEvent[] } {
  const events: OptionEvent[] = [];
  for (let at = 1; at < word.length; at++) {
    const letter = word[at]!;
    const option = options.find((candidate) => candidate.short === letter);
    if (option === undefined) {
      events.push({ kind: "error", text: `invalid option -- '${letter}'` });
      continue;
    }
    const rest = word.slice(at + 1);
    if (option.argument === "none") {
      events.push({ kind: "option", name: option.name, value: undefined });
      continue;
    }
    if (rest !== "" || option.argument === "optional") {
      events.push({ kind: "option", name: option.name, value: rest === "" ? undefined : rest });
      return { usedNext: false, events };
    }
    if (next === undefined) {
      events.push({ kind: "error", text: `option requires an argument -- '${letter}'` });
      return { usedNext: false, events };
    }
    events.push({ kind: "option", name: option.name, value: next });
    return { usedNext: true, events };
  }
  return { usedNext: false, events };
}
