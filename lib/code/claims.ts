/**
 * What a license code says: a compact JWS whose payload are the claims below, and the strict reading of them.
 *
 * Reading trusts nothing: `parseCode` says what a text claims, `verifyCode` (verify.ts) whether a pool may believe
 * it. Both read through this file, so that what is shown is what is judged. Whatever is not exactly a code (an
 * extra field, a figure out of bounds, a text that could be written in two ways) is no code.
 *
 *   header  {"alg":"EdDSA","kid":"<thumbprint of the vendor key>","typ":"licd-code+jwt"}
 *   payload {"jti","iss","sub","aud","iat","nbf","exp"?,"licd":{"v":1,"kind","feature","version"?,"allocations"}}
 *
 * Claims of version 2 may also say what a pool of level 2 understands: `limits`, `serves`, `renews`. A code that says
 * none of it is written as version 1, which any pool takes.
 */
import { minEntries, pipe, variant } from 'valibot'
import type { Code } from '../error.ts'
import { bounds, type CodeContent } from '../ledger/command.ts'
import { isFeatureName } from '../protocol/subject.ts'
import {
  faultOf,
  filled,
  isOf,
  list,
  oneOf,
  one,
  optional,
  pattern,
  strict,
  text,
  whole,
} from '../shape.ts'
import { readJws } from './jws.ts'

export const codeType = 'licd-code+jwt'

export const codeBounds = {
  /** Characters (and bytes: the text is ASCII) of a code. */
  textMax: 8 * 1024,
  idMax: 64,
  vendorMax: 64,
  customerMax: 128,
  /** Seconds since 1970 of the last second of the year 9999. */
  secondsMax: 253_402_300_799,
} as const

export interface CodeHeader {
  readonly alg: string
  readonly kid?: string
  readonly typ?: string
}

/** The claims as they stand in the payload. Times are whole seconds since 1970, as in every JWT. */
export interface CodeClaims {
  readonly jti: string
  readonly iss: string
  readonly sub: string
  readonly aud: string
  readonly iat: number
  readonly nbf: number
  readonly exp?: number
  readonly licd: {
    readonly v: 1 | 2
    readonly kind: CodeContent['kind']
    readonly feature: string
    readonly version?: string
    readonly allocations: number
    /** Version 2. Seconds, and days. */
    readonly limits?: {
      readonly lease?: number
      readonly seat?: number
      readonly offlineDays?: number
    }
    /** Version 2. Other versions of the feature whose clients get seats of this one: `cad@2025`, or `cad`. */
    readonly serves?: readonly string[]
    /** Version 2. Id of the code whose place this one takes when that ends. */
    readonly renews?: string
  }
}

export interface CodeRefusal {
  readonly ok: false
  readonly code: Code
  readonly detail: string
}

export type ParsedCode =
  { readonly ok: true; readonly header: CodeHeader; readonly claims: CodeClaims } | CodeRefusal

const seconds = whole(0, codeBounds.secondsMax)

const headerShape = strict({
  alg: text(32),
  kid: optional(text(128)),
  typ: optional(text(64)),
})

const codeId = pattern(/^[A-Za-z0-9._-]{1,64}$/)
const span = whole(1, bounds.limitSeconds)
const what = {
  kind: oneOf('feature', 'allocations'),
  feature: filled(64),
  version: optional(filled(32)),
  allocations: whole(1, bounds.allocationsMax),
}
const limits = pipe(
  strict({
    lease: optional(span),
    seat: optional(span),
    offlineDays: optional(whole(0, bounds.offlineDays)),
  }),
  minEntries(1, 'must not be empty'),
)
const serves = list(filled(129), { min: 1, max: bounds.serves })

const claimsShape = strict({
  jti: codeId,
  iss: filled(codeBounds.vendorMax),
  sub: filled(codeBounds.customerMax),
  aud: pattern(/^[A-Za-z0-9_-]{1,64}$/),
  iat: seconds,
  nbf: seconds,
  exp: optional(seconds),
  licd: variant(
    'v',
    [
      strict({ v: one(1), ...what }),
      strict({
        v: one(2),
        ...what,
        limits: optional(limits),
        serves: optional(serves),
        renews: optional(codeId),
      }),
    ],
    'must be 1 or 2',
  ),
})

/** Refuses a code: `detail` names what is wrong, the code's own text (lib/error.ts) what to do. */
export function refuseCode(code: Code, detail: string): CodeRefusal {
  return { ok: false, code, detail }
}

/** A name that people read in tables: no control, format or unassigned characters, no space at its ends. */
export function isLabel(text: string, max: number): boolean {
  return text.length >= 1 && text.length <= max && !/\p{C}/u.test(text) && text.trim() === text
}

/** Reads a code without judging its signature: LICD_CODE_MALFORMED unless it is one in form. Never throws. */
export function parseCode(text: string): ParsedCode {
  if (text.length > codeBounds.textMax) {
    return malformed(
      `The text has ${text.length} characters, at most ${codeBounds.textMax} are read.`,
    )
  }
  const jws = readJws(text)
  if (jws === undefined) return malformed('The text is not three parts joined by dots.')
  const { header, payload: claims } = jws
  if (!isOf(headerShape, header)) return malformed('Its header is not that of a license code.')
  if (!isOf(claimsShape, claims)) return malformed(`Its payload is wrong: ${firstError(claims)}.`)
  const wrong = claimsError(claims)
  if (wrong !== undefined) return malformed(wrong)
  return { ok: true, header, claims }
}

/** What is wrong with claims of the right shape, or `undefined`. */
export function claimsError(claims: CodeClaims): string | undefined {
  if (!isLabel(claims.iss, codeBounds.vendorMax)) return 'Its vendor name cannot be shown.'
  if (!isLabel(claims.sub, codeBounds.customerMax)) return 'Its customer name cannot be shown.'
  if (claims.licd.feature.includes('@') || !isFeatureName(featureOf(claims))) {
    return 'Its feature or version has a character that names do not have.'
  }
  if (claims.exp !== undefined && claims.exp <= claims.nbf) return 'It ends before it starts.'
  if (claims.licd.renews === claims.jti) return 'It renews itself.'
  return servesError(claims)
}

/** Other versions of the same feature, each once. */
function servesError(claims: CodeClaims): string | undefined {
  const { feature, serves = [] } = claims.licd
  const own = featureOf(claims)
  for (const [at, name] of serves.entries()) {
    const isVersion = isFeatureName(name) && (name === feature || name.startsWith(`${feature}@`))
    if (!isVersion || name === own) return 'It serves what is no other version of its feature.'
    if (serves.indexOf(name) < at) return 'It serves a version twice.'
  }
  return undefined
}

/** Feature id in the pool: the version is part of it. */
function featureOf({ licd }: CodeClaims): string {
  return licd.version === undefined ? licd.feature : `${licd.feature}@${licd.version}`
}

/** The claims as the ledger keeps them: times in milliseconds, feature and version in one. */
export function contentOf(claims: CodeClaims, kid: string): CodeContent {
  const { serves, renews } = claims.licd
  return {
    codeId: claims.jti,
    kid,
    vendor: claims.iss,
    customer: claims.sub,
    feature: featureOf(claims),
    kind: claims.licd.kind,
    allocations: claims.licd.allocations,
    startsAt: claims.nbf * 1000,
    ...(claims.exp === undefined ? {} : { expiresAt: claims.exp * 1000 }),
    issuedAt: claims.iat * 1000,
    ...limitsOf(claims),
    ...(serves === undefined ? {} : { serves: [...serves].sort() }),
    ...(renews === undefined ? {} : { renews }),
  }
}

function limitsOf({ licd: { limits } }: CodeClaims): Pick<CodeContent, 'limits'> {
  if (limits === undefined) return {}
  const { lease, seat, offlineDays } = limits
  return {
    limits: {
      ...(lease === undefined ? {} : { leaseMs: lease * 1000 }),
      ...(seat === undefined ? {} : { seatMs: seat * 1000 }),
      ...(offlineDays === undefined ? {} : { offlineDays }),
    },
  }
}

function firstError(claims: unknown): string {
  if (claims === undefined) return 'it is no JSON'
  const fault = faultOf(claimsShape, claims)
  if (fault === undefined) return 'a field is wrong'
  const field = fault.path.slice(0, 80)
  return field === '' ? fault.message : `\`${field}\` ${fault.message}`
}

function malformed(detail: string): CodeRefusal {
  return refuseCode('LICD_CODE_MALFORMED', detail)
}
