/** The simulated world of cores. */
export { killer } from '../sim/raft-killer.ts'
