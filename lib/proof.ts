/**
 * Proofs of seats, for programs that check them: `licd/proof`. Apart from the client, since it takes as long to load as all
 * else that a program with a seat needs.
 *
 * This list is kept by hand, as that of `index.ts` is.
 */
export {
  verifySeatProof,
  type ProofExpected,
  type ProvenSeat,
  type VerifiedProof,
} from './code/seat-proof.ts'
