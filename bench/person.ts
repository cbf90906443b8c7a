export async function person(_o: unknown): Promise<string> {
  return '';
}
