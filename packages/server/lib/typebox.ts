/**
 * What is used of TypeBox. It comes as 700 modules, a quarter of a second to load: scripts/build-ts.mjs puts those that
 * are reached from here into one file.
 */
export {
  Array,
  Boolean,
  Enum,
  Integer,
  Number,
  Object,
  Optional,
  Record,
  type Static,
  String,
  type TSchema,
  Union,
  Unknown,
} from 'typebox'
export { Errors } from 'typebox/value'
