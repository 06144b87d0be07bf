/** All commands of `licd`, in the order of its help. */
import { accountCommand } from './account.ts'
import type { MakeCommand } from './command.ts'
import { credentialsCommand } from './credentials.ts'
import { ctlCommand } from './ctl.ts'
import { devCommand } from './dev.ts'
import { doctorCommand } from './doctor.ts'
import { initCommand } from './init.ts'
import { joinCommand } from './join.ts'
import { keyCommand } from './key.ts'
import { runCommand } from './run.ts'
import { serveCommand } from './serve.ts'
import { vendorCommand } from './vendor.ts'

export const commands: readonly MakeCommand[] = [
  devCommand,
  initCommand,
  joinCommand,
  credentialsCommand,
  accountCommand,
  keyCommand,
  serveCommand,
  doctorCommand,
  runCommand,
  ctlCommand,
  vendorCommand,
]
