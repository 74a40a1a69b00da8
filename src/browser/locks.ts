/** Web Locks by which others notice that a tab is gone: browsers release them however it ends, and freeze no tab that holds one. */

export const tabLock = (tab: string): string => `frugal-tab-${tab}`;

/** Holds a tab's lock until the function that is returned is called. */
export async function holdLock(tab: string): Promise<() => void> {
  let release = (): void => undefined;
  await new Promise<void>((resolve, reject) => {
    navigator.locks
      .request(
        tabLock(tab),
        () =>
          new Promise<void>((free) => {
            release = free;
            resolve();
          }),
      )
      .catch(reject);
  });
  return () => release();
}
