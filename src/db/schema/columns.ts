import { customType } from 'drizzle-orm/sqlite-core';

/** A value kept as JSON text. */
export const json = <T>(name: string) =>
  customType<{ data: T; driverData: string }>({
    dataType: () => 'text',
    toDriver: value => JSON.stringify(value),
    fromDriver: value => JSON.parse(value) as T,
  })(name);
/** ms since 1970. A driver may give a 64-bit integer as text. */
export const time = (name: string) =>
  customType<{ data: number; driverData: number }>({ dataType: () => 'bigint', fromDriver: Number })(name);
