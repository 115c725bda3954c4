// The last minutes of a number, one sample a second, in a ring. Pure.

/** Samples kept: three minutes of ticks. */
export const KEPT = 180;

export class History {
  #values = new Float32Array(KEPT).fill(NaN);
  #next = 0;
  #count = 0;

  push(value) {
    this.#values[this.#next] = value ?? NaN;
    this.#next = (this.#next + 1) % KEPT;
    this.#count = Math.min(KEPT, this.#count + 1);
  }

  get count() {
    return this.#count;
  }

  /** The last `count` samples, oldest first; NaN where there was none. */
  last(count) {
    const taken = Math.min(count, this.#count);
    return Array.from({ length: taken }, (_, at) => this.#values[(this.#next - taken + at + KEPT) % KEPT]);
  }
}
