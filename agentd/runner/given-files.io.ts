// What an instance is given beside its image: its secrets as files, and its service's volumes. The
// files are the instance's own and go with it; the volumes stay until somebody removes them.

import { chown, mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { makePassage, removeEmpty } from '#agentd/secrets/memory-folder.io.ts'
import { volumeVariable } from '#shared/secrets-schema.ts'

export type Owner = { uid: number; gid: number }

/** Writes the secrets anew; answers the variables that say where they are. */
export async function giveSecrets(
  folder: string,
  files: readonly { name: string; text: string }[] = [],
  owner?: Owner,
): Promise<Record<string, string>> {
  await takeSecrets(folder)
  if (files.length === 0) return {}
  await makePassage(dirname(folder))
  await mkdir(folder, { mode: 0o700 })
  for (const { name, text } of files) {
    const path = join(folder, name)
    await writeFile(path, text, { mode: 0o400, flag: 'wx' })
    if (owner !== undefined) await chown(path, owner.uid, owner.gid)
  }
  // Last: nobody else may change what is in it while it is filled.
  if (owner !== undefined) await chown(folder, owner.uid, owner.gid)
  return { TUCANO_SECRETS: folder }
}

export async function takeSecrets(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true })
  await removeEmpty(dirname(folder))
}

/** Makes what is not there yet; answers the variables that say where the volumes are. */
export async function giveVolumes(
  root: string,
  volumes: { service: string; names: readonly string[] } | undefined,
  owner?: Owner,
): Promise<Record<string, string>> {
  if (volumes === undefined || volumes.names.length === 0) return {}
  const { service, names } = volumes
  const home = join(root, service)
  // Its program goes through them to its volumes; nobody can list them.
  for (const folder of [root, home]) await makePassage(folder)
  const paths: [string, string][] = []
  for (const name of names) {
    const path = join(home, name)
    await mkdir(path, { recursive: true, mode: 0o700 })
    if (owner !== undefined) await chown(path, owner.uid, owner.gid)
    paths.push([volumeVariable(name), path])
  }
  return Object.fromEntries(paths)
}
