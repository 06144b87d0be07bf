/** What operators may be told of one command, whoever they ask and when: the model that their histories are held against. */
import type { Model } from './linear.ts'

export type Input = 'change' | 'question'
export type Output = 'applied' | 'refused' | 'unknown'
export type Fate = 'open' | 'applied' | 'refused'

/**
 * One id: nothing, until it is applied or refused. `fate`: what the log says of it; `isForgotten`: it may have been
 * forgotten early, and be unknown again.
 */
export function modelOf(fate: Fate, isForgotten = false): Model<Fate, Input, Output> {
  return {
    initial: 'open',
    step(state, input, output) {
      if (input === 'question') {
        if (isForgotten && output === 'unknown') return state
        const told = state === 'open' ? 'unknown' : state
        return output === undefined || output === told ? state : undefined
      }
      if (output === undefined) return fate
      return output === fate ? fate : undefined
    },
    key: state => state,
  }
}
