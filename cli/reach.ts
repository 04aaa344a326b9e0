// How a service is reached from outside: read from the controller's configuration, since the
// balancer's port stands there and nowhere else.

import type { ServiceConfig } from '#shared/configuration.ts'
import { parseTopology } from '#shared/topology.ts'
import type { ConfigAnswer } from './answers.ts'
import type { Client } from './client.ts'

const anyAddress = new Set(['0.0.0.0', '::', ''])

/** Lines like `curl -H 'Host: api' http://10.0.0.10:8080/`; none when it cannot be told. */
export async function reachOf(
  client: Client,
  config: Pick<ServiceConfig, 'name' | 'public' | 'hosts' | 'public_port'>,
): Promise<string[]> {
  if (!config.public) return ['it is not public: the balancer does not lead to it']
  const origin = await balancerOrigin(client, config.public_port)
  return origin === undefined ? [] : [curlLine(config, origin)]
}

export function curlLine(
  { name, public_port }: Pick<ServiceConfig, 'name' | 'public_port'>,
  origin: string,
  path = '/',
): string {
  const header = public_port === undefined ? `-H 'Host: ${name}' ` : ''
  return `curl ${header}'${origin}${path}'`
}

/** What another folder's commands find the controller by. */
export function exportLine(controller: string, tokenFile: string): string {
  return `export TUCANO_CONTROLLER=${controller} TUCANO_TOKEN_FILE=${quoted(tokenFile)}`
}

function quoted(path: string): string {
  return /^[\w./@:+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
}

async function balancerOrigin(
  client: Client,
  publicPort: number | undefined,
): Promise<string | undefined> {
  const { text } = await client.get<ConfigAnswer>('/v1/config')
  try {
    const { balancer } = parseTopology(text, 'topology.yaml')
    const { hostname } = new URL(client.url)
    const isAny = anyAddress.has(balancer.host)
    const own = balancer.host.includes(':') ? `[${balancer.host}]` : balancer.host
    return `http://${isAny ? hostname : own}:${publicPort ?? balancer.port}`
  } catch {
    // A configuration of a newer controller: how to reach it is a courtesy, not the result.
    return undefined
  }
}
