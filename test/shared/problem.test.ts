import { expect, test } from 'vitest'
import { TucanoError } from '#shared/errors.ts'
import { errorOfProblem, problemOf } from '#shared/problem.ts'

test('an error comes back from its problem details as it was', () => {
  const problems = [{ where: '/name', what: 'missing' }]
  const error = new TucanoError('invalid_config', 'no', { problems, cause: new Error('secret') })
  const problem = problemOf(error, 'r-1')
  expect(problem).toMatchObject({ status: 400, code: 'invalid_config', request_id: 'r-1' })
  expect(JSON.stringify(problem)).not.toContain('secret')
  const back = errorOfProblem(400, JSON.parse(JSON.stringify(problem)))
  expect([back.code, back.message, back.problems]).toEqual(['invalid_config', 'no', problems])
})

test('a bug says nothing of itself but its request id', () => {
  const problem = problemOf(new Error('password=1'), 'r-2')
  expect(problem).toMatchObject({ status: 500, code: 'internal' })
  expect(JSON.stringify(problem)).not.toContain('password')
  expect(errorOfProblem(500, problem).message).toContain('r-2')
})

test.each([
  [404, undefined, 'not_found'],
  [409, '<html>', 'conflict'],
  [418, { error: 'x' }, 'invalid_request'],
  [500, null, 'unavailable'],
  [502, {}, 'unavailable'],
])('an answer %d without problem details is still an error', (status, body, code) => {
  const error = errorOfProblem(status, body)
  expect([error.code, error.message]).toEqual([code, `the answer was HTTP ${status}`])
})
