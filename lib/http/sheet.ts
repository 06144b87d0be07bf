/** Where figures are put during a scrape; what stands under the same labels is summed. */
type Put = (
  name: string,
  help: string,
  value: number,
  labels?: Readonly<Record<string, string>>,
) => void

export interface Sheet {
  readonly gauge: Put
  readonly count: Put
  /** The feature's own label, or the one that stands for many. */
  readonly label: (feature: string) => string
}
