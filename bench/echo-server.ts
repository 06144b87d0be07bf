/** The responder of the bare round trip, a process of its own: one callback, which sends back what it got. */
import { connect } from 'nats'
import { echoSubject } from './drivers/echo.ts'

const connection = await connect({ servers: process.argv[2] ?? '', name: 'bench responder' })
connection.subscribe(echoSubject, {
  callback(_error, message) {
    message.respond(message.data)
  },
})
await connection.flush()
console.log('ready')
