// Loaded ahead of a program, with `node --import`: its wall clock is wrong by WRONG_CLOCK_MS, or by that now and then, where WRONG_CLOCK_JUMPS
// says how many milliseconds of real time each state lasts.

const offsetMs = Number(process.env.WRONG_CLOCK_MS);
const stateMs = Number(process.env.WRONG_CLOCK_JUMPS ?? Infinity);
const RightDate = Date;

function nowMs() {
  const rightMs = RightDate.now();
  const isWrong = stateMs === Infinity || Math.floor(rightMs / stateMs) % 2 === 0;
  return isWrong ? rightMs + offsetMs : rightMs;
}

globalThis.Date = class extends RightDate {
  constructor(...given) {
    super(...(given.length === 0 ? [nowMs()] : given));
  }

  static now() {
    return nowMs();
  }
};
