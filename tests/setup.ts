/** Runs before each test file, also where files share what they import: a hook in a shared module is that of the first. */
import { afterAll } from 'vitest'
import { finish } from './at-end.ts'

afterAll(finish)
