/**
 * Who may import whom: cmd -> lib -> raft, and the pure cores nothing but themselves.
 *
 * `test/layers.test.ts` plants a violation of each rule and sees it found.
 */
const within = folders => `^(${folders.join('|')})/`

/**
 * A core is a function of its inputs: from outside it takes only assertions and, where named, plain types and files that are
 * as pure.
 */
const core = ({ folder, types, uses = [], comment }) => [
  {
    name: `${folder}-is-pure`,
    comment,
    severity: 'error',
    from: { path: within([folder]) },
    to: { pathNot: [within([folder]), ...types, ...uses, '^(node:)?assert(/strict)?$'] },
  },
  ...types.map(other => ({
    name: `${folder}-takes-types-alone`,
    comment: `Of ${other}`,
    severity: 'error',
    from: { path: within([folder]) },
    to: { path: other, dependencyTypesNot: ['type-only'] },
  })),
]

module.exports = {
  forbidden: [
    ...core({
      folder: 'raft/core',
      types: [],
      comment: 'Consensus would not run in the simulator.',
    }),
    ...core({
      folder: 'lib/ledger',
      types: ['^lib/error\\.ts$'],
      comment: 'Replicas would not reach the same state.',
    }),
    ...core({
      folder: 'lib/book',
      types: ['^lib/error\\.ts$', '^lib/ledger/'],
      uses: ['^lib/fresh-map\\.ts$'],
      comment: 'The seat book runs over virtual time too.',
    }),
    {
      name: 'raft-knows-no-licenses',
      severity: 'error',
      from: { path: '^raft/' },
      to: { path: within(['lib', 'cmd', 'bench']) },
    },
    {
      name: 'lib-knows-no-program',
      severity: 'error',
      from: { path: '^lib/' },
      to: { path: within(['cmd', 'bench']) },
    },
    {
      name: 'client-is-light',
      comment:
        'It is loaded by every program that has a seat: what takes long to load is for servers and operators.',
      severity: 'error',
      from: { path: '^lib/index\\.ts$' },
      to: { path: 'node_modules/(valibot|level|pino|prom-client|yargs)/', reachable: true },
    },
    {
      name: 'product-knows-no-tests',
      severity: 'error',
      from: { path: within(['raft', 'lib', 'cmd']) },
      to: { path: '^test/' },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: { path: within(['raft', 'lib', 'cmd', 'bench']) },
      to: { circular: true },
    },
    {
      name: 'no-cycles-in-tests',
      comment: 'A simulated world and its parts may know each other by type.',
      severity: 'error',
      from: { path: '^test/' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'all-is-found',
      comment: 'An import that cannot be resolved is a rule that cannot be checked.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'only-declared-packages',
      comment: 'What the product needs to run is in dependencies, or a user does not get it.',
      severity: 'error',
      from: { path: within(['raft', 'lib', 'cmd']) },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'deprecated'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'node', 'default'],
    },
  },
}
