/** `nats://user:password@host` without what stands before the `@`: for messages, logs and screens. */
export function withoutSecrets(text: string): string {
  return text.replaceAll(/\/\/[^\s/@]*@/g, '//')
}
