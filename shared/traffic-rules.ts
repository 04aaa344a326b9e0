// What must hold between those keys of a service's configuration that say how its traffic is
// carried. Works on unchecked data, so that these faults are named together with those of single
// keys.

import { itemsOf, partOf, textAt } from './loose.ts'
import type { Fault } from './schema.ts'

export function trafficFaults(data: unknown): Fault[] {
  const isTcp = textAt(data, 'protocol') === 'tcp'
  return [...(isTcp ? tcpFaults(data) : httpFaults(data)), ...hashFaults(data)]
}

/** Of a connection only its address and its port are known: nothing of what it carries. */
function tcpFaults(data: unknown): Fault[] {
  const faults: Fault[] = []
  if (partOf(data, 'public_port') === undefined && partOf(data, 'public') !== false) {
    const what =
      'missing; with protocol tcp clients come in by a port of their own: add one, like ' +
      'public_port: 9000, or public: false'
    faults.push({ path: ['public_port'], what })
  }
  const unknowable = (path: Fault['path'], how: string) => {
    faults.push({ path, what: `only with protocol http; ${how}` })
  }
  if (itemsOf(data, 'hosts').length > 0) {
    unknowable(['hosts'], 'a tcp connection names no host: remove it, clients use public_port')
  }
  if (partOf(data, 'path') !== undefined) {
    unknowable(['path'], 'a tcp connection has no path: remove it, clients use public_port')
  }
  if (partOf(partOf(data, 'sticky'), 'cookie') !== undefined) {
    unknowable(
      ['sticky', 'cookie'],
      'a tcp connection has no cookies: use balance: hash with by: ip',
    )
  }
  const by = textAt(partOf(data, 'hash'), 'by')
  if (by === 'header' || by === 'cookie') {
    unknowable(['hash', 'by'], `a tcp connection has no ${by}: use by: ip`)
  }
  return faults
}

function httpFaults(data: unknown): Fault[] {
  const version = textAt(data, 'proxy_protocol')
  if (version === undefined || version === 'none') return []
  const what = `${version} is only for protocol tcp; http programs read X-Forwarded-For: remove it`
  return [{ path: ['proxy_protocol'], what }]
}

function hashFaults(data: unknown): Fault[] {
  const hash = partOf(data, 'hash')
  if (hash === undefined) return []
  const faults: Fault[] = []
  if (textAt(data, 'balance') !== 'hash') {
    faults.push({ path: ['hash'], what: 'means nothing without balance: hash; add that' })
  }
  const by = textAt(hash, 'by')
  const name = partOf(hash, 'name')
  if ((by === 'header' || by === 'cookie') && name === undefined) {
    const example = by === 'header' ? 'X-Tenant' : 'session'
    const what = `missing; by: ${by} needs the name of the ${by}, like name: ${example}`
    faults.push({ path: ['hash', 'name'], what })
  }
  if (by === 'ip' && name !== undefined) {
    faults.push({ path: ['hash', 'name'], what: 'only with by: header or by: cookie; remove it' })
  }
  return faults
}
