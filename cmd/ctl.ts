/** `licd ctl`: everything an operator does with a pool that runs. */
import { defineGroup } from './command.ts'
import { ctlAccountCommand } from './ctl/account.ts'
import { allocationsCommand } from './ctl/allocations.ts'
import { auditCommand } from './ctl/audit.ts'
import { codeCommand } from './ctl/code.ts'
import { criteriaCommand } from './ctl/criteria.ts'
import { featureCommand } from './ctl/feature.ts'
import { ctlKeyCommand } from './ctl/key.ts'
import { operatorsCommand } from './ctl/operators.ts'
import { outcomeCommand } from './ctl/outcome.ts'
import { recoverCommand } from './ctl/recover.ts'
import { seatsCommand } from './ctl/seats.ts'
import { serversCommand } from './ctl/servers.ts'
import { settingsCommand } from './ctl/settings.ts'
import { snapshotCommand } from './ctl/snapshot.ts'
import { statusCommand } from './ctl/status.ts'
import { topCommand } from './ctl/top.ts'
import { transferLeaderCommand } from './ctl/transfer-leader.ts'
import { usageCommand } from './ctl/usage.ts'
import { upgradeCommand } from './ctl/upgrade.ts'
import { ctlVendorCommand } from './ctl/vendor.ts'
import { watchCommand } from './ctl/watch.ts'
import { whyCommand } from './ctl/why.ts'

export const ctlCommand = defineGroup(
  'ctl',
  'See and change a pool that runs',
  [
    statusCommand,
    whyCommand,
    serversCommand,
    seatsCommand,
    usageCommand,
    topCommand,
    watchCommand,
    featureCommand,
    codeCommand,
    allocationsCommand,
    criteriaCommand,
    ctlVendorCommand,
    ctlKeyCommand,
    settingsCommand,
    transferLeaderCommand,
    snapshotCommand,
    recoverCommand,
    outcomeCommand,
    auditCommand,
    operatorsCommand,
    ctlAccountCommand,
    upgradeCommand,
  ],
  [
    ['ctl status', 'who leads, who is up, what is free and where the rest is'],
    ['ctl why cad', 'who may grant cad until when, and why a seat was denied'],
    ['ctl feature add cad 30 --local', 'a feature of one\u2019s own'],
    ['ctl code add code.txt', 'a feature by a vendor\u2019s signed code'],
    ['ctl watch', 'the distribution as it changes'],
  ],
)
