/** Named locks that sessions of one server hold or wait for (RFC 7047 section 4.1.8). */

export interface LockWaiter {
  /** The lock has become the waiter's. */
  locked(name: string): void;
  /** Another has taken the lock away from the waiter, which goes on waiting for it. */
  stolen(name: string): void;
}

/** The owner is the first of a lock's waiters. */
export class LockTable<W extends LockWaiter> {
  private readonly queues = new Map<string, W[]>();

  isOwner(name: string, waiter: W): boolean {
    return this.queues.get(name)?.[0] === waiter;
  }

  /** Whether the waiter owns the lock or waits for it. */
  isWaiting(name: string, waiter: W): boolean {
    return this.queues.get(name)?.includes(waiter) === true;
  }

  /** Asks for a lock; with `steal` it is taken from whoever has it.
   *  @returns whether the waiter owns it now */
  request(name: string, waiter: W, steal: boolean): boolean {
    const queue = this.queues.get(name) ?? [];
    this.queues.set(name, queue);
    const owner = queue[0];
    if (steal) {
      queue.unshift(waiter);
      owner?.stolen(name);
    } else {
      queue.push(waiter);
    }
    return queue[0] === waiter;
  }

  /** Gives up a lock, or waiting for it. */
  release(name: string, waiter: W): void {
    const queue = this.queues.get(name);
    const at = queue?.indexOf(waiter) ?? -1;
    if (queue === undefined || at < 0) {
      return;
    }
    queue.splice(at, 1);
    if (queue.length === 0) {
      this.queues.delete(name);
    } else if (at === 0) {
      queue[0]?.locked(name);
    }
  }
}
