import { test } from 'vitest'
import { holdFor } from './histories.ts'

test('I1–I5, I8 and I9 hold in 500 histories, part 1', () => holdFor(0, 500))
