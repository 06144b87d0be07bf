/**
 * The configuration of the nats-server beside a license server: TLS, the pool's account, the cluster.
 *
 * Files are named relative to the folder that it is started in. It holds no secret: those that reach others are proven
 * by certificates (routes) and by signatures (users).
 */
import { subjectOf, type NatsAccount } from './nats-account.ts'
import { formatAddress, listenHost, monitorAddress, routePort, type Address } from './address.ts'

/** In a server's data folder. */
export const natsFolder = 'nats'
export const natsFiles = {
  config: 'nats.conf',
  authority: 'ca.pem',
  certificate: 'server.pem',
  key: 'server.key',
  /** The license server's own way in. */
  context: 'server.context',
} as const

export interface NatsConfig {
  readonly pool: string
  readonly server: string
  readonly address: Address
  /** Of the others that are known; later ones make themselves known. */
  readonly routes: readonly Address[]
  readonly account: Pick<NatsAccount, 'operatorJwt' | 'accountJwt' | 'systemJwt'>
}

/** Seconds for a handshake; NATS's own 2 are short for a busy host. */
const tlsSeconds = 5

export function natsConfig(config: NatsConfig): string {
  const { pool, server, address, routes, account } = config
  const { operatorJwt, accountJwt, systemJwt } = account
  const { host, port } = address
  const text = JSON.stringify
  const listen = listenHost(address)
  const monitor = monitorAddress(address)
  const tls = (more: readonly string[]): string[] => [
    `  cert_file: ${text(natsFiles.certificate)}`,
    `  key_file: ${text(natsFiles.key)}`,
    `  timeout: ${tlsSeconds}`,
    ...more,
  ]
  return [
    `# nats-server of license server ${server}, pool ${pool}. licd made it once and only reads it: change what you like.`,
    '# It is started in this folder: licd serve does so, or: nats-server -c nats.conf',
    `server_name: ${text(server)}`,
    `listen: ${text(formatAddress(listen, port))}`,
    `client_advertise: ${text(formatAddress(host, port))}`,
    ...(monitor === undefined
      ? []
      : [
          '# For this host alone: who is connected, and who sends how much (/connz).',
          `http: ${text(monitor)}`,
        ]),
    '',
    'tls {',
    ...tls([]),
    '}',
    '',
    '# Users are whoever this operator\u2019s account has signed: servers, operators, clients (licd credentials).',
    `operator: ${text(operatorJwt)}`,
    'resolver: MEMORY',
    `system_account: ${subjectOf(systemJwt)}`,
    'resolver_preload: {',
    ...[accountJwt, systemJwt].map(jwt => `  ${subjectOf(jwt)}: ${text(jwt)}`),
    '}',
    '',
    'cluster {',
    `  name: ${text(`licd-${pool}`)}`,
    `  listen: ${text(formatAddress(listen, routePort(address)))}`,
    `  advertise: ${text(formatAddress(host, routePort(address)))}`,
    '  tls {',
    ...tls([`  ca_file: ${text(natsFiles.authority)}`, '  verify: true']).map(line => `  ${line}`),
    '  }',
    '  # A server that joins later is heard of from those it connects to.',
    '  connect_retries: 1000000',
    '  routes: [',
    ...routes.map(
      route => `    ${text(`nats-route://${formatAddress(route.host, routePort(route))}`)}`,
    ),
    '  ]',
    '}',
    '',
  ].join('\n')
}
