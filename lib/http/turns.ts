/** Work over all features of a pool that leaves the loop to the server in between: its heartbeats must not wait for it. */

/** Looked at before others may use the loop: some milliseconds of work, in a pool of many servers. */
const perTurn = 128

export async function inTurns<Item, Made>(
  items: Iterable<Item>,
  make: (item: Item) => Made,
): Promise<Made[]> {
  const made: Made[] = []
  for (const item of [...items]) {
    made.push(make(item))
    if (made.length % perTurn === 0) await new Promise(resolve => setImmediate(resolve))
  }
  return made
}
