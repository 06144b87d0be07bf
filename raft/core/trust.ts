/** Not done yet: what an untrusted server may do. */
import type { Distrust, Teach, TeachReply } from './message.ts'
import type { State } from './state.ts'

export function onTeach(_state: State, _message: Teach): void {}

export function onTeachReply(_state: State, _message: TeachReply): void {}

export function onDistrust(_state: State, _message: Distrust): void {}
