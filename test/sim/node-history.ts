/**
 * A feature of the ledger as clients see it, as a model for the check of linearizability.
 *
 * Additions tell apart by their counts, so a repeated one, a lost one and one out of order all show in what is read
 * later; a threshold is a plain register.
 */
import { checkLinearizable, type Model, type Operation, type Verdict } from './linear.ts'

export type FeatureInput =
  | { readonly kind: 'add'; readonly count: number }
  | { readonly kind: 'threshold'; readonly threshold: number }
  | { readonly kind: 'read' }

export interface FeatureOutput {
  /** Of the ledger, after a write, or as read. */
  readonly revision: number
  /** As read. */
  readonly allocations?: number
  readonly threshold?: number
}

interface FeatureState {
  readonly allocations: number
  readonly threshold: number
}

export const featureModel: Model<FeatureState, FeatureInput, FeatureOutput> = {
  initial: { allocations: 1, threshold: 0.9 },
  step(state, input, output) {
    switch (input.kind) {
      case 'add':
        return { ...state, allocations: state.allocations + input.count }
      case 'threshold':
        return { ...state, threshold: input.threshold }
      case 'read': {
        if (output === undefined) return state
        const { allocations, threshold } = output
        return allocations === state.allocations && threshold === state.threshold
          ? state
          : undefined
      }
    }
  },
  key: ({ allocations, threshold }) => `${allocations}/${threshold}`,
}

export type FeatureHistory = readonly Operation<FeatureInput, FeatureOutput>[]

export function checkFeature(history: FeatureHistory): Verdict {
  return checkLinearizable(featureModel, history)
}
