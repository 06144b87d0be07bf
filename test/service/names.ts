/** What the test worlds of the seat service call their pool. */
import { subjects } from '../../lib/protocol/subject.ts'

export const poolName = 'p'
export const poolSubjects = subjects(poolName)
export const macKey = new Uint8Array(32).fill(7)
