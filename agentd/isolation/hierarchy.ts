// Finds the agent's own place among the control groups from what /proc says: below it, and nowhere
// else, groups are made. Pure. v2 first, since it can kill a group whole; then v1; then none.

import { posix } from 'node:path'
import { type Controller, controllers, type Version } from './group-files.ts'

/** The agent's own folder of each controller; one and the same for all with v2. */
export type Place = { version: Version; folders: Record<Controller, string> }

export type Found =
  | { place: Place; why: string }
  /** Why there is none. */
  | { place: undefined; why: string }

/** Where the agent moves itself to with v2: below a group with processes there are no limits. */
export const AGENT_GROUP = 'main'

/**
 * From /proc/self/mountinfo and /proc/self/cgroup. `tag` names the agent: several may run in one
 * group, and each has a folder there.
 */
export function findV2(mountinfo: string, cgroup: string, tag: string): Found {
  const mount = mountsOf(mountinfo).find(({ type }) => type === 'cgroup2')
  const own = ownPaths(cgroup).get('')
  if (mount === undefined || own === undefined) {
    return { place: undefined, why: 'control groups v2 are not mounted' }
  }
  const inside = insideOf(mount, own)
  if (inside === undefined) {
    return { place: undefined, why: `the agent's group ${own} lies outside of what is mounted` }
  }
  const path = posix.basename(inside) === AGENT_GROUP ? posix.dirname(inside) : inside
  const folder = posix.join(mount.at, path, `tucano-${tag}`)
  const folders = Object.fromEntries(controllers.map((each) => [each, folder]))
  return {
    place: { version: 'v2', folders: folders as Place['folders'] },
    why: `control groups v2, below ${path}`,
  }
}

export function findV1(mountinfo: string, cgroup: string, tag: string): Found {
  const mounts = mountsOf(mountinfo).filter(({ type }) => type === 'cgroup')
  const own = ownPaths(cgroup)
  const folders = new Map<Controller, string>()
  for (const controller of controllers) {
    const mount = mounts.find(({ options }) => options.includes(controller))
    const path = mount && insideOf(mount, own.get(controller) ?? '/')
    if (mount === undefined || path === undefined) continue
    folders.set(controller, posix.join(mount.at, path, `tucano-${tag}`))
  }
  const missing = controllers.filter((controller) => !folders.has(controller))
  if (missing.length > 0) {
    return { place: undefined, why: `control groups v1 lack ${missing.join(', ')}` }
  }
  return {
    place: { version: 'v1', folders: Object.fromEntries(folders) as Place['folders'] },
    why: 'control groups v1, in a group of its own for each controller',
  }
}

type Mount = { root: string; at: string; type: string; options: string[] }

/** Lines of proc_pid_mountinfo(5): what is optional ends with ` - `. */
function mountsOf(mountinfo: string): Mount[] {
  return mountinfo
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [before = '', after = ''] = line.split(' - ')
      const [, , , root = '', at = ''] = before.split(' ')
      const [type = '', , options = ''] = after.split(' ')
      return { root: unescaped(root), at: unescaped(at), type, options: options.split(',') }
    })
}

/** Path of the agent's group by controller, and by '' for v2. */
function ownPaths(cgroup: string): Map<string, string> {
  const paths = new Map<string, string>()
  for (const line of cgroup.split('\n').filter(Boolean)) {
    const [, names = '', ...path] = line.split(':')
    for (const name of names.split(',')) paths.set(name, path.join(':'))
  }
  return paths
}

/** A container may have mounted only the part below its own group. */
function insideOf({ root }: Mount, path: string): string | undefined {
  if (root === '/') return path
  if (path === root) return '/'
  return path.startsWith(`${root}/`) ? path.slice(root.length) : undefined
}

/** Space, tab, line break and backslash are written in octal. */
function unescaped(text: string): string {
  return text.replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)))
}
