//! Pages for secrets: out of core dumps, wiped before they are given back.

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use std::slice;

use zeroize::Zeroize;

/// Memory straight from the kernel: zeros at first, in huge pages where the
/// kernel has them, kept out of core dumps, and wiped on drop.
///
/// Pages that were never written take no memory. On kernels before 6.7 a
/// region need not begin where a huge page does; its ends are then in small
/// pages.
pub struct Region {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a region is the only owner of its pages, like a boxed slice.
unsafe impl Send for Region {}
// SAFETY: through a shared reference the pages are only read.
unsafe impl Sync for Region {}

impl Region {
    /// A region of that many bytes.
    ///
    /// # Errors
    ///
    /// `mmap`'s: EINVAL for no bytes at all, ENOMEM for more than there may be;
    /// or `madvise`'s, when the pages cannot be kept out of core dumps.
    pub fn new(bytes: usize) -> io::Result<Self> {
        // SAFETY: a new anonymous mapping at an address of the kernel's choice
        // touches nothing that exists.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at address 0");
        let region = Self { start, bytes };
        region.advise(libc::MADV_DONTDUMP)?;
        // A kernel without huge pages refuses this, and small ones serve.
        let _ = region.advise(libc::MADV_HUGEPAGE);
        Ok(region)
    }

    fn advise(&self, advice: libc::c_int) -> io::Result<()> {
        // SAFETY: the range is this region's own mapping, and neither advice
        // that is given changes what is in it.
        let result = unsafe { libc::madvise(self.start.as_ptr().cast(), self.bytes, advice) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Wipes the pages that are in memory. Those that never were written hold
    /// zeros already, and to write to them would only make the kernel find
    /// memory for them: a gigabyte for a cache that was hardly used.
    fn wipe(&mut self) {
        let page = page_bytes();
        let mut resident = [0; WIPE_PAGES];
        for chunk in self.chunks_mut(WIPE_PAGES * page) {
            // SAFETY: a chunk begins on a page of the mapping, as each but the
            // last is whole pages long, and covers at most WIPE_PAGES of them,
            // for each of which `resident` has a byte.
            let known = unsafe {
                libc::mincore(chunk.as_mut_ptr().cast(), chunk.len(), resident.as_mut_ptr())
            } == 0;
            for (content, state) in chunk.chunks_mut(page).zip(resident) {
                if !known || state & 1 == 1 {
                    content.zeroize();
                }
            }
        }
    }
}

/// How many pages are asked about at a time: an answer of one kilobyte.
const WIPE_PAGES: usize = 1_024;

impl Deref for Region {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is that long, readable, and lives as long as
        // `self`; anonymous pages are initialised, with zeros.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }
}

impl DerefMut for Region {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; the mapping is writable, and `&mut self` is
        // the only way to it.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.wipe();
        // SAFETY: the mapping is this region's own, and after its drop nobody
        // has a reference into it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// Tells the size alone: what is in a region is nobody's to print.
impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// Asks the processor to fetch the cache line of a byte that will be used soon,
/// and does not wait for it. Does nothing on processors that Rust cannot ask.
#[inline]
pub fn prefetch(byte: &u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint that changes and reads nothing; SSE is part of x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(ptr::from_ref(byte).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = byte;
}

/// The size of a small page.
pub(crate) fn page_bytes() -> usize {
    // SAFETY: sysconf only reads.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).expect("POSIX demands a page size")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The flags of the mapping that `region` is in, by /proc/self/smaps. The
    /// kernel makes one mapping of regions that lie side by side.
    fn flags(region: &Region) -> String {
        let address = region.as_ptr() as usize;
        let covers = |line: &&str| {
            let bounds = line.split(' ').next().and_then(|range| range.split_once('-'));
            let bounds = bounds.map(|(start, end)| [start, end].map(parse_hexadecimal));
            matches!(bounds, Some([Some(start), Some(end)]) if (start..end).contains(&address))
        };
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = maps.lines().skip_while(|line| !covers(line));
        lines.find(|line| line.starts_with("VmFlags:")).expect("the region is mapped").to_owned()
    }

    fn parse_hexadecimal(digits: &str) -> Option<usize> {
        usize::from_str_radix(digits, 16).ok()
    }

    #[test]
    fn begins_as_zeros_and_keeps_what_is_written() {
        let mut region = Region::new(3 << 20).unwrap();
        assert!(region.iter().all(|byte| *byte == 0));
        region[0] = 1;
        *region.last_mut().unwrap() = 2;
        assert_eq!((region[0], region[(3 << 20) - 1], region.len()), (1, 2, 3 << 20));
    }

    #[test]
    fn stays_out_of_core_dumps() {
        let region = Region::new(4 << 20).unwrap();
        // "dd": do not include the area in a core dump (proc_pid_smaps(5)).
        let flags = flags(&region);
        assert!(flags.contains(" dd"), "{flags}");
    }

    #[test]
    fn wiping_clears_what_was_written_and_touches_nothing_else() {
        let page = page_bytes();
        let mut region = Region::new(4 * WIPE_PAGES * page + 1).unwrap();
        let last = region.len() - 1;
        region[5 * page] = 7;
        region[last] = 7;
        region.wipe();
        let before = resident_pages(&region);
        assert!(region[5 * page] == 0 && region[last] == 0);
        assert!(before < 3 * WIPE_PAGES, "{before} pages came into memory");
    }

    fn resident_pages(region: &Region) -> usize {
        let mut resident = vec![0; region.len().div_ceil(page_bytes())];
        // SAFETY: the range is the region's, and there is a byte for each page.
        let result = unsafe {
            libc::mincore(region.as_ptr().cast_mut().cast(), region.len(), resident.as_mut_ptr())
        };
        assert_eq!(result, 0);
        resident.iter().filter(|state| **state & 1 == 1).count()
    }

    #[test]
    fn no_bytes_is_an_error() {
        assert!(Region::new(0).is_err());
    }
}
