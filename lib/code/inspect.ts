/**
 * What a license code claims, for people who look at one: nothing here is proof of anything.
 */
import type { CodeContent } from '../ledger/command.ts'
import { contentOf, parseCode, type CodeHeader, type CodeRefusal } from './claims.ts'

export type InspectedCode =
  | {
      readonly ok: true
      readonly header: CodeHeader
      /** As a pool would keep it if it believed the code; `kid` is what the text names. */
      readonly content: CodeContent
      /** Fingerprint of the pool it is made out to. */
      readonly fingerprint: string
    }
  | CodeRefusal

/** Says what the text claims without checking its signature. LICD_CODE_MALFORMED when it is no code in form. */
export function inspectCode(text: string): InspectedCode {
  const parsed = parseCode(text)
  if (!parsed.ok) return parsed
  const { header, claims } = parsed
  return {
    ok: true,
    header,
    content: contentOf(claims, header.kid ?? ''),
    fingerprint: claims.aud,
  }
}

/** A code as it was pasted or mailed: white space, line breaks included, is no part of it. */
export function tidyCode(text: string): string {
  return text.replaceAll(/\s+/g, '')
}
