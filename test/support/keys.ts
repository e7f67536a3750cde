import type { z } from 'zod';

/** All keys of a schema, those of its parts included. */
export function keysOf(schema: z.core.$ZodType): string[] {
  const {
    shape,
    innerType,
    element,
    in: from,
    out,
    catchall,
  } = schema._zod.def as {
    shape?: Record<string, z.core.$ZodType>;
    innerType?: z.core.$ZodType;
    element?: z.core.$ZodType;
    in?: z.core.$ZodType;
    out?: z.core.$ZodType;
    catchall?: z.core.$ZodType;
  };
  const below = [innerType, element, from, out, catchall, ...Object.values(shape ?? {})].filter(
    (part) => part !== undefined,
  );
  return [...Object.keys(shape ?? {}), ...below.flatMap(keysOf)];
}
