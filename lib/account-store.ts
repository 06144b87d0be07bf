/** The account in the configuration of the nats-server beside a running license server, as that server reads and changes it. */
import { join } from 'node:path'
import { accountIn, takeJwt } from './account-file.ts'
import { natsFiles, natsFolder } from './access/nats-config.ts'
import { asLicdError } from './server/fatal.ts'
import type { AccountStore, HeldAccount } from './server/account-holder.ts'

/** `load` has the nats-server read its configuration again; absent where this process does not run it. */
export function fileAccountStore(dataFolder: string, load: (() => void) | undefined): AccountStore {
  const file = join(dataFolder, natsFolder, natsFiles.config)
  return {
    load,
    read(done) {
      accountIn(file).then(
        found => done(found === undefined ? undefined : heldOf(found)),
        (cause: unknown) => done(undefined, asLicdError(cause)),
      )
    },
    take(jwt, done) {
      takeJwt(jwt, file, 'The account').then(
        ({ unchanged }) =>
          accountIn(file).then(
            found => done(found && { ...heldOf(found), unchanged }),
            (cause: unknown) => done(undefined, asLicdError(cause)),
          ),
        (cause: unknown) => done(undefined, asLicdError(cause)),
      )
    },
  }
}

function heldOf({ jwt, claims }: NonNullable<Awaited<ReturnType<typeof accountIn>>>): HeldAccount {
  return { jwt, issuedAt: claims.iat, revoked: Object.keys(claims.revocations).length }
}
