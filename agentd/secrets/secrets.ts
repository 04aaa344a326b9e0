// The values of secrets on a worker: those of the newest order and no others. They are never in
// the notebook. Beside this memory they stand in one that outlives the agent but not the machine,
// so that a program can be restarted while the controller is away.

import type { Vault } from '#agentd/ports.ts'
import { messageOf } from '#shared/errors.ts'
import type { Log } from '#shared/ports.ts'
import type { AssignedInstance, Assignment, SecretGiven, SecretUse } from '#shared/wire.ts'

export type SecretFile = { name: string; text: string }

export type Secrets = {
  /** What a former run of the agent was given, as far as it is still there. */
  restore(): Promise<void>
  /** The values of an order, in place of all former ones; answers the order without them. */
  take(assignment: Assignment): Promise<Assignment>
  /** Nothing runs any more that could need them. */
  drop(): Promise<void>
  /** Throws with the name of the first that is not here. */
  of(uses: readonly SecretUse[]): { variables: Record<string, string>; files: SecretFile[] }
  /** Whether all that these instances need to be started is here. */
  suffice(instances: readonly AssignedInstance[]): boolean
}

export function createSecrets(ports: { vault: Vault; log: Log }): Secrets {
  const { vault, log } = ports
  let values: ReadonlyMap<string, string> = new Map()

  const keyOf = ({ name, version }: { name: string; version: number }) => `${name} ${version}`
  const hold = (given: readonly SecretGiven[]) => {
    values = new Map(given.map((one) => [keyOf(one), one.value]))
  }

  async function keep(given: readonly SecretGiven[]): Promise<void> {
    hold(given)
    await vault.save(given).catch((error: unknown) => {
      log.warn({ why: messageOf(error) }, 'secrets are kept in memory only')
    })
  }

  function valueFor(use: SecretUse): string {
    const value = values.get(keyOf(use))
    if (value !== undefined) return value
    throw new Error(
      `the secret ${use.name} (version ${use.version}) did not come from the controller`,
    )
  }

  return {
    async restore() {
      hold(await vault.load())
    },
    async take({ secrets = [], ...order }) {
      await keep(secrets)
      return order
    },
    drop: () => keep([]),
    of(uses) {
      const known = uses.map((use) => ({ ...use, value: valueFor(use) }))
      const variables = known.flatMap(({ variable, value }) =>
        variable === undefined ? [] : [[variable, value] as const],
      )
      const files = known.flatMap(({ file, value }) =>
        file === undefined ? [] : [{ name: file, text: value }],
      )
      return { variables: Object.fromEntries(variables), files }
    },
    suffice: (instances) =>
      instances
        .filter(({ want }) => want === 'run')
        .flatMap(({ secrets }) => secrets ?? [])
        .every((use) => values.has(keyOf(use))),
  }
}
