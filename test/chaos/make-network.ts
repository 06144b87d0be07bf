/** Chooses the network of a chaos run by what the machine can; the run says which it is, and why. */
import type { Janitor } from './janitor.ts'
import { Namespaces, problemOfNamespaces } from './namespaces.ts'
import type { Layout, Network, NetworkKind } from './network.ts'
import { Proxies } from './proxies.ts'

/** `wanted`, or the best this machine can; `why` says what it cannot. */
export async function makeNetwork(
  layout: Layout,
  janitor: Janitor,
  wanted: NetworkKind | undefined,
): Promise<{ readonly network: Network; readonly why?: string }> {
  const problem = wanted === 'proxies' ? 'proxies were asked for' : problemOfNamespaces()
  if (problem === undefined) return { network: Namespaces.make(layout, janitor) }
  if (wanted === 'namespaces') throw new Error(`no network namespaces: ${problem}`)
  return { network: await Proxies.make(layout), why: problem }
}
