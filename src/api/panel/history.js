// The last minutes of a number, one sample a second, in a ring. Pure.

/** Samples kept: three minutes of ticks. */
export const KEPT = 180;

const SECOND_MS = 1_000;

export class History {
  #values = new Float32Array(KEPT).fill(NaN);
  #next = 0;
  #count = 0;
  #at = null;

  /** A sample of a moment; the seconds since the last one that nothing was told of are empty. */
  push(value, at) {
    for (let second = 0; second < this.#missing(at); second += 1) this.#put(NaN);
    this.#at = at;
    this.#put(value);
  }

  /** Whole seconds between the last sample and the one of this moment. */
  #missing(at) {
    return this.#at === null ? 0 : Math.min(KEPT, Math.max(0, Math.round((at - this.#at) / SECOND_MS) - 1));
  }

  #put(value) {
    this.#values[this.#next] = value ?? NaN;
    this.#next = (this.#next + 1) % KEPT;
    this.#count = Math.min(KEPT, this.#count + 1);
  }

  get count() {
    return this.#count;
  }

  /** The samples of the last `count` seconds before `now`, oldest first; NaN where there was none. */
  last(count, now) {
    const missing = Math.min(count, this.#missing(now));
    const taken = Math.min(count - missing, this.#count);
    const from = this.#next - taken + KEPT;
    return Array.from({ length: taken + missing }, (_, at) => (at < taken ? this.#values[(from + at) % KEPT] : NaN));
  }
}
