import { setTimeout as work } from 'node:timers/promises'
import { connect } from '../../lib/index.ts'

await using client = await connect()
await using seat = await client.acquire('cad', { timeout: 30_000 })

seat.on('lost', error => console.error(error.message))
console.log(`seat ${seat.id} at server ${seat.server}`)
for (let n = 0; n < 3 && seat.valid; n++) await work(100)
