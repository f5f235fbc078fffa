/** Time as this room sees it, so that a test can turn the hands. */

export interface Clock {
  /** Milliseconds that only ever grow. */
  now(): number;
  /** Milliseconds since 1970. */
  wall(): number;
  /** Calls back once after `ms` milliseconds.  Returns what calls it off. */
  after(ms: number, callback: () => void): () => void;
}

/** The longest that a timer of Node can be set to. */
const timerMsMax = 2 ** 31 - 1;

/** The computer's clock.  A timer keeps the process alive until it is called off, which closing its owner does. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, Math.min(Math.max(Math.ceil(ms), 0), timerMsMax));
    return () => clearTimeout(timer);
  },
};
