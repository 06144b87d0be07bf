/** Seats that are to move to another server: a test that waits for it hears at once of one that is lost instead. */
import type { Seat } from '../lib/index.ts'

/** Resolves with the servers that confirmed them; rejects, with the reason, when one is lost. */
export function moved(seats: readonly Seat[]): Promise<string[]> {
  return Promise.all(
    seats.map(
      seat =>
        new Promise<string>((resolve, reject) => {
          seat.once('moved', resolve)
          seat.once('lost', error => {
            reject(new Error(`seat ${seat.id} was lost, not moved: ${error.message}`))
          })
        }),
    ),
  )
}
