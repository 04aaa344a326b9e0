// The programs of others that the benchmark needs, and their versions.

import { execFileSync, spawnSync } from 'node:child_process'
import { accessSync, constants, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { TucanoError } from '#shared/errors.ts'
import type { ProxyName } from './proxies.ts'

const INSTALL = 'apt-get install haproxy nginx-light caddy'
/** Where servers are, and not in everyone's PATH. */
export const FOLDERS_OF_SERVERS: readonly string[] = ['/usr/sbin', '/sbin']
const VERSION_WORD: Partial<Record<ProxyName, string>> = {
  haproxy: '-v',
  nginx: '-v',
  caddy: 'version',
}

/** undefined: it is not on this machine. */
export function programPath(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(':'), ...FOLDERS_OF_SERVERS]
  return folders.map((folder) => join(folder, name)).find(isRunnable)
}

/** Throws a `usage` error that says how to install what is missing. */
export function refuseMissing(proxies: readonly ProxyName[]): void {
  const missing = proxies.filter((name) => VERSION_WORD[name] && programPath(name) === undefined)
  if (missing.length === 0) return
  const names = missing.join(' and ')
  throw new TucanoError('usage', `${names} is not on this machine; as root: ${INSTALL}`)
}

/** `2.6.12-1+deb12u4`, by proxy. */
export function versionsOf(proxies: readonly ProxyName[]): Partial<Record<ProxyName, string>> {
  return Object.fromEntries(proxies.map((name) => [name, versionOf(name)]))
}

/** What the launcher of a daemon gives to Node beside the program and what it loads first. */
export function nodeFlagsIn(launcher: string): string[] {
  const words = /\bexec .*/.exec(launcher)?.[0].split(' ') ?? []
  return words.filter((word) => word.startsWith('--') && word !== '--import')
}

export function versionIn(text: string): string {
  return /\d+\.\d+(\.\d+)?[\w.+~-]*/.exec(text)?.[0] ?? 'unknown'
}

function versionOf(name: ProxyName): string {
  const word = VERSION_WORD[name]
  if (word !== undefined) {
    const { stdout, stderr } = spawnSync(programPath(name) ?? name, [word], { encoding: 'utf8' })
    return versionIn(`${stdout}${stderr}`)
  }
  if (name === 'ours') return commit()
  const file = join(import.meta.dirname, '../../node_modules/@fastify/http-proxy/package.json')
  return JSON.parse(readFileSync(file, 'utf8')).version
}

function commit(): string {
  try {
    const words = ['describe', '--always', '--dirty']
    return execFileSync('git', words, { cwd: import.meta.dirname, encoding: 'utf8' }).trim()
  } catch {
    return 'unknown' // Not a clone, or no git.
  }
}

function isRunnable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false // Not there.
  }
}
