// Every way in which the secrets or their key can go missing or wrong, and power cuts at any step.

import { describe, expect, test } from 'vitest'
import { writeDurable } from '#shared/durable-file.ts'
import { TucanoError } from '#shared/errors.ts'
import { randomOf } from '#test/helpers/seeds.ts'
import { aVault, FILE, KEY, none, type Vault } from './vault.ts'

const file = {
  folder: '/data',
  name: 'secrets.json',
  kind: 'secrets',
  format: 1,
  backup: false,
  whenLost: 'refuse',
} as const

describe('refuses to start, and says what to do,', () => {
  const started = async () => {
    const vault = aVault()
    const secrets = await vault.open()
    await secrets.set({ name: 'db', value: 'one', referenced: none }, 0)
    await secrets.set({ name: 'db', value: 'two', referenced: none }, 0)
    vault.disk.kill()
    return vault
  }

  test('without its key', async () => {
    const vault = await started()
    vault.remove(KEY)
    const { message } = await refusal(vault.open)
    expect(message).toMatch(/secrets\.key is missing.*1 secrets.*restore it from a backup/)
    // And the next time too: it has not made another one.
    expect(vault.disk.peek(KEY)).toBeUndefined()
    expect((await refusal(vault.open)).message).toBe(message)
  })

  test('with another key', async () => {
    const vault = await started()
    vault.disk.poke(KEY, Buffer.from('ab'.repeat(32)))
    const { message } = await refusal(vault.open)
    expect(message).toMatch(/secrets\.key is not the key that sealed .*restore the key/)
  })

  test('with its key and without its file', async () => {
    const vault = await started()
    for (const path of [FILE, `${FILE}.bak`]) vault.remove(path)
    expect((await refusal(vault.open)).message).toMatch(/secrets\.json is missing, but its key/)
  })

  test('when file and backup are damaged', async () => {
    const vault = await started()
    for (const path of [FILE, `${FILE}.bak`]) vault.disk.poke(path, Buffer.from('nonsense'))
    expect((await refusal(vault.open)).message).toMatch(/neither .*secrets\.json/)
  })

  test('when a value was put in the place of another', async () => {
    const vault = await started()
    const [, body = ''] = Buffer.from(vault.disk.peek(FILE) ?? [])
      .toString()
      .split('\n')
    const renamed = JSON.parse(body.replace('"db"', '"root-password"')) as unknown
    await writeDurable(vault.disk.mount(), file, renamed)
    expect((await refusal(vault.open)).message).toMatch(/root-password .*was changed by somebody/)
  })
})

test('F20: loads the backup of a damaged file, and says so', async () => {
  const vault = aVault()
  const secrets = await vault.open()
  await secrets.set({ name: 'db', value: 'one', referenced: none }, 0)
  await secrets.set({ name: 'db', value: 'two', referenced: new Set([1]) }, 0)
  vault.disk.kill()
  vault.disk.poke(FILE, Buffer.from(''))
  const after = await vault.open()
  expect(after.notices.join('\n')).toMatch(/it is empty.*\n.*backup .* was loaded instead/)
  expect(after.value('db', 1)).toBe('one')
})

test('F21: after a power cut every secret that was acknowledged is there', async () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = randomOf(seed)
    const vault = aVault()
    const acknowledged = new Map<string, string>()
    const cutAfter = random.int(0, 12)
    const work = (async () => {
      const secrets = await vault.open()
      for (let step = 0; step < 12; step += 1) {
        if (step === cutAfter) return
        const name = `s${random.int(1, 3)}`
        const value = `v${step}`
        await secrets.set({ name, value, referenced: none }, step)
        acknowledged.set(name, value)
      }
    })()
    await work
    vault.disk.crash(() => random.random())
    const after = await vault.open()
    for (const [name, value] of acknowledged) {
      const version =
        after
          .list()
          .find((one) => one.name === name)
          ?.versions.at(-1) ?? 0
      expect(after.value(name, version), `seed ${seed}`).toBe(value)
    }
  }
})

test('F21: a power cut at any step of the first start leaves what can be started', async () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = randomOf(seed)
    let steps = 0
    const cutAt = random.int(1, 12)
    const vault: Vault = aVault(async () => {
      steps += 1
      if (steps === cutAt) vault.disk.crash(() => random.random())
    })
    const opening = vault.open()
    // What was cut off never answers: the steps are counted instead of waiting for it.
    await Promise.race([opening, untilQuiet(() => steps)])
    const after = await vault.open()
    await after.set({ name: 'db', value: 'one', referenced: none }, 0)
    expect(after.value('db', 1), `seed ${seed}`).toBe('one')
  }
})

async function untilQuiet(steps: () => number): Promise<void> {
  for (let quiet = 0, last = -1; quiet < 50; quiet += 1) {
    if (steps() !== last) quiet = 0
    last = steps()
    await Promise.resolve()
  }
}

async function refusal(open: () => Promise<unknown>): Promise<TucanoError> {
  const answer = await open().catch((error: unknown) => error)
  if (answer instanceof TucanoError && answer.code === 'store_failed') return answer
  throw new Error(`not refused: ${String(answer)}`)
}
