using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Decoding;

namespace RawDiffusion.Tests;

/// <summary>Accesses of the same bytes by two threads that nothing orders.</summary>
public sealed class RaceHazardTests : HazardLab
{
    [SkippableFact]
    public void ASharedReadBeforeTheWriterMetTheBarrier()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                __shared__ int tile[64];
                int i = threadIdx.x;
                tile[i] = x[i]; // there
                x[i] = tile[63 - i]; // here
            }
            """, 1, 64, 0, Ints(64, "x").Pointer);
        AssertRace(report, StateSpace.Shared, "tile");
    }

    [SkippableFact]
    public void ASharedWriteBeforeTheReadersAreDone()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                __shared__ int tile[64];
                int i = threadIdx.x;
                tile[i] = x[i];
                __syncthreads();
                int right = tile[(i + 1) % 64]; // there
                tile[i] = right; // here
                __syncthreads();
                x[i] = tile[i];
            }
            """, 1, 64, 0, Ints(64, "x").Pointer);
        AssertRace(report, StateSpace.Shared, "tile");
    }

    [SkippableFact]
    public void ATileThatIsOverwrittenInTheNextRound()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x, int rounds)
            {
                __shared__ int tile[64];
                int i = threadIdx.x, sum = 0;
                for (int r = 0; r < rounds; r++)
                {
                    tile[i] = x[64 * r + i]; // here
                    __syncthreads();
                    sum += tile[63 - i]; // there
                }
                x[i] = sum;
            }
            """, 1, 64, 0, Ints(256, "x").Pointer, 4);
        AssertRace(report, StateSpace.Shared, "tile");
    }

    [SkippableFact]
    public void TwoThreadsThatWriteDifferentValues()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                __shared__ int last;
                last = threadIdx.x; // here
                __syncthreads();
                x[threadIdx.x] = last;
            }
            """, 1, 64, 0, Ints(64, "x").Pointer);
        AssertRace(report, StateSpace.Shared, "last");
    }

    [SkippableFact]
    public void LanesOfAWarpWithoutSyncwarp()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                __shared__ int tile[32];
                int i = threadIdx.x;
                tile[i] = x[i]; // there
                x[i] = tile[i ^ 1]; // here
            }
            """, 1, 32, 0, Ints(64, "x").Pointer);
        AssertRace(report, StateSpace.Shared, "tile");
        Assert.Equal(report.Parties[0].Thread.X ^ 1, report.Parties[1].Thread.X);
    }

    [SkippableFact]
    public void AWarpSynchronousReductionOfOldTimes()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                __shared__ int sums[64];
                int i = threadIdx.x;
                sums[i] = x[i];
                __syncthreads();
                if (i < 32)
                {
                    sums[i] += sums[i + 32]; // there
                    int other = i < 16 ? sums[i + 16] : 0; // here
                    x[i] = sums[i] + other;
                }
            }
            """, 1, 64, 0, Ints(64, "x").Pointer);
        AssertRace(report, StateSpace.Shared, "sums");
    }

    [SkippableFact]
    public void SyncwarpOfTheWrongLanes()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                __shared__ int tile[32];
                int i = threadIdx.x;
                if (i < 16)
                {
                    tile[i] = x[i]; // there
                    __syncwarp(0x0000ffff);
                }
                else
                {
                    x[i] = tile[i - 16]; // here
                }
            }
            """, 1, 32, 0, Ints(64, "x").Pointer);
        AssertRace(report, StateSpace.Shared, "tile");
    }

    [SkippableFact]
    public void ABarrierOfHalfTheBlock()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                __shared__ int tile[128];
                int i = threadIdx.x;
                tile[i] = x[i]; // there
                if (i < 64)
                    asm volatile("bar.sync 1, 64;" ::: "memory");
                else
                    asm volatile("bar.sync 2, 64;" ::: "memory");
                x[i] = tile[127 - i]; // here
            }
            """, 1, 128, 0, Ints(128, "x").Pointer);
        AssertRace(report, StateSpace.Shared, "tile");
    }

    [SkippableFact]
    public void ACounterWithoutAtomics()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* counter)
            {
                int old = *counter; // there
                *counter = old + 1; // here
            }
            """, 1, 64, 0, Ints(1, "counter").Pointer);
        AssertRace(report, StateSpace.Global, "'counter'");
    }

    [SkippableFact]
    public void TwoBlocksThatWriteTheSameWord()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                x[threadIdx.x] = blockIdx.x; // here
            }
            """, 2, 32, 0, Ints(32, "x").Pointer);
        AssertRace(report, StateSpace.Global, "'x'");
        Assert.NotEqual(report.Parties[0].Block, report.Parties[1].Block);
    }

    [SkippableFact]
    public void AReadOfWhatAnotherBlockWrites()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x, int* y)
            {
                int i = blockIdx.x * blockDim.x + threadIdx.x;
                x[i] = 2 * i; // there
                __syncthreads();
                y[i] = x[(i + 32) % 64]; // here
            }
            """, 2, 32, 0, Ints(64, "x").Pointer, Ints(64, "y").Pointer);
        AssertRace(report, StateSpace.Global, "'x'");
    }

    [SkippableFact]
    public void AStencilInPlace()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x, int n)
            {
                int i = blockIdx.x * blockDim.x + threadIdx.x + 1;
                if (i < n - 1)
                {
                    int sum = x[i - 1] + x[i + 1]; // there
                    x[i] = sum; // here
                }
            }
            """, 2, 32, 0, Ints(66, "x").Pointer, 66);
        AssertRace(report, StateSpace.Global, "'x'");
    }

    [SkippableFact]
    public void APlainReadOfWhatOthersAddTo()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* total, int* y)
            {
                int i = blockIdx.x * blockDim.x + threadIdx.x;
                atomicAdd(total, 1); // there
                y[i] = *total; // here
            }
            """, 2, 32, 0, Ints(1, "total").Pointer, Ints(64, "y").Pointer);
        AssertRace(report, StateSpace.Global, "'total'");
    }

    [SkippableFact]
    public void TheLastBlockReadsWithoutAFence()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* parts, unsigned* ticket, int* total)
            {
                __shared__ bool last;
                if (threadIdx.x == 0)
                {
                    parts[blockIdx.x] = blockIdx.x; // there
                    last = atomicAdd(ticket, 1) == gridDim.x - 1;
                }
                __syncthreads();
                if (last && threadIdx.x == 0)
                {
                    int sum = 0;
                    for (int i = 0; i < gridDim.x; i++)
                        sum += parts[i]; // here
                    *total = sum;
                }
            }
            """, 4, 32, 0, Ints(4, "parts").Pointer, Ints(1, "ticket").Pointer, Ints(1, "total").Pointer);
        AssertRace(report, StateSpace.Global, "'parts'");
    }

    [SkippableFact]
    public void AHistogramInSharedMemoryWithoutAtomics()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x, int* y)
            {
                __shared__ int bins[4];
                if (threadIdx.x < 4)
                    bins[threadIdx.x] = 0;
                __syncthreads();
                bins[x[threadIdx.x] % 4]++; // here
                __syncthreads();
                if (threadIdx.x < 4)
                    y[threadIdx.x] = bins[threadIdx.x];
            }
            """, 1, 64, 0, Ints(64, "x").Pointer, Ints(4, "y").Pointer);
        AssertRace(report, StateSpace.Shared, "bins");
    }

    [SkippableFact]
    public void ALastStepWithoutBarrier()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                __shared__ int sums[128];
                int i = threadIdx.x;
                sums[i] = x[i];
                for (int half = 64; half > 0; half /= 2)
                {
                    __syncthreads();
                    if (i < half)
                        sums[i] += sums[i + half]; // there
                }
                x[i] = sums[0]; // here
            }
            """, 1, 128, 0, Ints(128, "x").Pointer);
        AssertRace(report, StateSpace.Shared, "sums");
    }

    [SkippableFact]
    public void BytesOfOneWordThatTwoThreadsWrite()
    {
        var report = Fault("""
            extern "C" __global__ void k(unsigned char* x)
            {
                x[threadIdx.x / 2] = threadIdx.x; // here
            }
            """, 1, 64, 0, Ints(64, "x").Pointer);
        AssertRace(report, StateSpace.Global, "'x'");
    }

    [SkippableFact]
    public void ALockThatIsReleasedWithoutAFence()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* lock, int* total)
            {
                if (threadIdx.x == 0)
                {
                    while (atomicCAS(lock, 0, 1) != 0)
                        ;
                    *total = *total + 1; // here
                    atomicExch(lock, 0);
                }
            }
            """, 2, 32, 0, Ints(1, "lock").Pointer, Ints(1, "total").Pointer);
        AssertRace(report, StateSpace.Global, "'total'");
    }

    [SkippableFact]
    public void AReadOfFreshMemoryThatAnotherBlockWritesLater()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x, int* y)
            {
                int i = threadIdx.x;
                if (blockIdx.x == 1)
                    x[i] = i; // there
                else
                    y[i] = x[i]; // here
            }
            """, 2, 32, 0, Undefined(32, "x").Pointer, Ints(32, "y").Pointer);
        AssertRace(report, StateSpace.Global, "'x'");
    }
}
