/** Which rows have their status already: it need not be worked out again while what it is made from stays the same. */
export class WrittenStatus {
  /** What the status of a row was made from.  A row that changes is another object, and looked at anew. */
  #inputs = new WeakMap<object, readonly unknown[]>();

  /** Whether the status of this row was made from just this when it was last asked, and remembers it. */
  isWritten(row: object, inputs: readonly unknown[]): boolean {
    const before = this.#inputs.get(row);
    if (before?.length === inputs.length && inputs.every((input, index) => Object.is(input, before[index])))
      return true;
    this.#inputs.set(row, inputs);
    return false;
  }

  /** What was to be written was not. */
  forget(): void {
    this.#inputs = new WeakMap();
  }
}
