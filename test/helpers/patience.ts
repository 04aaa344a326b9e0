// How many times longer than usual is waited for what must happen: on a machine that is slow by
// its nature, as the one of `npm run test:v2` is.

export const PATIENCE = Number(process.env.TUCANO_TEST_PATIENCE ?? 1)
