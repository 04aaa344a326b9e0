import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { configurationReference, configurations } from '#shared/configuration-reference.ts'
import { keysOf } from '#shared/schema-keys.ts'

test('docs/configuration.md is what the schemas say', async () => {
  await expect(configurationReference()).toMatchFileSnapshot(resolve('docs/configuration.md'))
})

test.each(configurations)('the reference has every key of $title', ({ schema }) => {
  const text = configurationReference()
  const missing = keysOf(schema).filter(({ key }) => !text.includes(`| \`${key}\` `))
  expect(missing).toEqual([])
})
