import { describe } from 'bun:test'
import { claimsContract } from './generations-claims.ts'
import { keepingContract } from './generations-keeping.ts'
import type { MakeFixture } from './generations-kit.ts'
import { modelContract } from './generations-model.ts'
import { readingContract } from './generations-reading.ts'
import { stepsContract } from './generations-steps.ts'

/** What hot state promises, whatever holds it. `make` gives an empty one each time and closes it after the test. */
export function generationsContract(name: string, make: MakeFixture): void {
  describe(`generations in ${name}: steps`, () => stepsContract(make))
  describe(`generations in ${name}: claims`, () => claimsContract(make))
  describe(`generations in ${name}: reading`, () => readingContract(make))
  describe(`generations in ${name}: keeping`, () => keepingContract(make))
  describe(`generations in ${name}: against a model`, () => modelContract(make))
}
