//! `ncclAllGather` between CUDA devices, one for each process: vectors that are summed never pass through the host.
//!
//! NCCL's own sums depend on the number of processes, as MPI's do. So the parts are gathered on every device as they are and
//! added there in their order: the bits of [`Mpi`](super::Mpi). Everything else that processes say to each other, short and
//! rare, goes by those that they were before; the identity that NCCL's communicators share does, too.
#![allow(unsafe_code)] // NCCL is handed the addresses of burn's tensors

use std::collections::HashSet;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow, ensure};
use burn::backend::DispatchDevice;
use burn::tensor::{Device, Tensor};
use compute::gpu::{CubeTensor, empty_like, into_tensor, primitive};
use cubecl_runtime::runtime::Runtime;
use cudarc::driver::{CudaContext, CudaStream};
use cudarc::nccl::result::{NcclError, all_gather, comm_abort, comm_init_rank, get_uniqueid};
use cudarc::nccl::sys::{is_culib_present, ncclComm_t, ncclDataType_t, ncclUniqueId};

use super::Processes;
use super::processes::rows_in_order;

/// Bytes of a card's identity.
const IDENTITY: usize = 16;

/// Processes that sum on their CUDA devices.
pub struct Nccl {
    others: Arc<dyn Processes>,
    communicator: Mutex<Communicator>,
}

/// NCCL's end of it.
struct Communicator {
    handle: ncclComm_t,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
}

// SAFETY: a communicator may be used from any thread, by one at a time; the mutex that holds it sees to that.
unsafe impl Send for Communicator {}

/// Lets `processes` sum on their devices, of which `device` is this one's. They are given back as they are where there is one
/// process alone, where one of them has no CUDA device or no NCCL, or where two share a card, which NCCL refuses.
///
/// # Errors
/// When a process, the driver or NCCL fails.
pub fn join(processes: Arc<dyn Processes>, device: &Device) -> Result<Arc<dyn Processes>> {
    if processes.size() == 1 {
        return Ok(processes);
    }
    let context = context(device)?;
    let own = context.as_ref().map_or(Ok(Vec::new()), |context| identity(context))?;
    let cards = processes.gather(&own)?;
    let distinct: HashSet<&Vec<u8>> = cards.iter().filter(|card| card.len() == IDENTITY).collect();
    let (true, Some(context)) = (distinct.len() == processes.size(), context) else { return Ok(processes) };
    let communicator = Communicator::new(processes.as_ref(), context)?;
    Ok(Arc::new(Nccl { others: processes, communicator: Mutex::new(communicator) }))
}

/// The driver's context of a CUDA device, where NCCL can be loaded; `None` of another device.
fn context(device: &Device) -> Result<Option<Arc<CudaContext>>> {
    let DispatchDevice::Cube(cubecl::Device::Cuda(cuda)) = device.as_dispatch() else { return Ok(None) };
    // SAFETY: it asks the loader for the library, and unloads it.
    if !unsafe { is_culib_present() } {
        return Ok(None);
    }
    CudaContext::new(cuda.index).map(Some).map_err(|error| anyhow!("the CUDA driver failed: {error:?}"))
}

fn identity(context: &CudaContext) -> Result<Vec<u8>> {
    let id = context.uuid().map_err(|error| anyhow!("the CUDA driver does not name its device: {error:?}"))?;
    Ok(id.bytes.iter().map(|byte| *byte as u8).collect())
}

fn failed(error: NcclError) -> anyhow::Error {
    anyhow!("NCCL failed: {error:?} (NCCL_DEBUG=WARN has it say why)")
}

impl Communicator {
    /// Every process makes the call at once.
    fn new(processes: &dyn Processes, context: Arc<CudaContext>) -> Result<Self> {
        let driver = |error| anyhow!("the CUDA driver failed: {error:?}");
        context.bind_to_thread().map_err(driver)?;
        let stream = context.new_stream().map_err(driver)?;
        let own = if processes.rank() == 0 { get_uniqueid().map_err(failed)?.internal } else { [0; 128] };
        let told = processes.broadcast(own.iter().map(|byte| *byte as u8).collect())?;
        ensure!(told.len() == own.len(), "process 0 sent no identity for NCCL");
        let id = ncclUniqueId { internal: std::array::from_fn(|i| told[i] as _) };
        let mut handle = MaybeUninit::uninit();
        // SAFETY: NCCL writes the handle, and says whether it has; every process calls with its own rank and the same identity.
        let handle = unsafe {
            comm_init_rank(handle.as_mut_ptr(), processes.size() as i32, id, processes.rank() as i32)
                .map_err(failed)?;
            handle.assume_init()
        };
        Ok(Self { handle, context, stream })
    }

    /// Fills `received` with the `length` numbers of every process's `sent`, in their order.
    fn gather(&self, sent: &CubeTensor, received: &CubeTensor, length: usize) -> Result<()> {
        type Server = <cubecl::cuda::CudaRuntime as Runtime>::Server;
        let address = |tensor: &CubeTensor| {
            let found = tensor.client.get_resource::<Server>(tensor.handle.clone());
            found.map_err(|error| anyhow!("a tensor's address is not known: {error:?}"))
        };
        // Held until the end: what they hold is neither freed nor moved.
        let (source, target) = (address(sent)?, address(received)?);
        let driver = |error| anyhow!("the CUDA driver failed: {error:?}");
        self.context.bind_to_thread().map_err(driver)?;
        // SAFETY: both addresses lie on this context's device, the first with `length` floats, the second with as many for
        // every process; the caller has waited for what writes the first, and here is waited for what reads it.
        unsafe {
            all_gather(
                source.resource().ptr as *const c_void,
                target.resource().ptr as *mut c_void,
                length,
                ncclDataType_t::ncclFloat32,
                self.handle,
                self.stream.cu_stream().cast(),
            )
        }
        .map_err(failed)?;
        self.stream.synchronize().map_err(driver)
    }
}

impl Drop for Communicator {
    fn drop(&mut self) {
        // SAFETY: the handle is NCCL's, and nobody else has it. An error has nobody left to be told.
        let _ = unsafe { comm_abort(self.handle) };
    }
}

impl Processes for Nccl {
    fn size(&self) -> usize {
        self.others.size()
    }

    fn rank(&self) -> usize {
        self.others.rank()
    }

    fn sum(&self, parts: &[Vec<f32>]) -> Result<Vec<f32>> {
        self.others.sum(parts)
    }

    fn sum_on_device(&self, part: &Tensor<1>) -> Result<Option<Tensor<1>>> {
        let Some(sent) = primitive(part) else { return Ok(None) };
        let (size, length) = (self.size(), part.dims()[0]);
        let received = empty_like(&sent, [size * length]);
        // burn's kernels run on streams of their own.
        part.device().sync().map_err(|error| anyhow!("the device failed: {error:?}"))?;
        let communicator = self.communicator.lock().unwrap_or_else(PoisonError::into_inner);
        communicator.gather(&sent, &received, length)?;
        Ok(Some(rows_in_order(&into_tensor::<1>(received).reshape([size, length]))))
    }

    fn gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.others.gather(bytes)
    }

    fn collect(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        self.others.collect(bytes)
    }

    fn broadcast(&self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        self.others.broadcast(bytes)
    }

    fn host(&self) -> String {
        self.others.host()
    }

    fn abort(&self, code: u8) -> ! {
        self.others.abort(code)
    }
}
