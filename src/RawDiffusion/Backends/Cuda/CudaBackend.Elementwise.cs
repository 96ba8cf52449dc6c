using RawDiffusion.Cuda;

namespace RawDiffusion.Backends.Cuda;

public partial class CudaBackend
{
    private static readonly KernelSlot s_where = new("elementwise.cu", "elementwise_where");
    private static readonly KernelSlot s_castFloat32 = new("elementwise.cu", "elementwise_cast_f32");
    private static readonly KernelSlot s_castBFloat16 = new("elementwise.cu", "elementwise_cast_bf16");
    private static readonly KernelSlot s_castInt32 = new("elementwise.cu", "elementwise_cast_i32");

    /// <summary>The kernel of an operator: the type is the key, so a launch looks nothing up.</summary>
    private static class UnarySlot<TOp> where TOp : struct, IUnaryOperator
    {
        public static readonly KernelSlot Kernel = new("elementwise.cu", "elementwise_unary", KernelLibrary.UnaryOption(TOp.Cuda));
    }

    private static class BinarySlots<TOp> where TOp : struct, IBinaryOperator
    {
        /// <summary>Equal shapes; rows of whole packs; anything.</summary>
        public static readonly KernelSlot Equal = Slot("elementwise_binary"), Rows = Slot("elementwise_binary_rows"), Any = Slot("elementwise_binary_broadcast");

        private static KernelSlot Slot(string name) => new("elementwise.cu", name, KernelLibrary.BinaryOption(TOp.Cuda));
    }

    public override void Unary<TOp>(Storage x, Storage y, double a, double b) =>
        LaunchElements(_kernels[UnarySlot<TOp>.Kernel, y.DType], PacksOf(y), y.Length, P(x), P(y), (float)a, (float)b);

    public override void Binary<TOp>(in BroadcastGeometry g, Storage x, Storage y, Storage z, double a)
    {
        if (g.Rank == 1 && g.StrideA(0) == 1 && g.StrideB(0) == 1)
        {
            LaunchElements(_kernels[BinarySlots<TOp>.Equal, z.DType], PacksOf(z), g.Count, P(x), P(y), P(z), (float)a);
            return;
        }
        var walk = new StridedWalk(g);
        bool rows = IsPacked(P(z)) && IsRowsOfPacks(walk, walk.StrideA, P(x), PackSize(z.DType)) && IsRowsOfPacks(walk, walk.StrideB, P(y), PackSize(z.DType));
        if (rows)
            walk = walk.InPacks(PackSize(z.DType));
        LaunchElementsWith(_kernels[rows ? BinarySlots<TOp>.Rows : BinarySlots<TOp>.Any, z.DType], walk, walk.Count, P(x), P(y), P(z), (float)a);
    }

    public override void Where(Storage condition, Storage x, Storage y, Storage z) =>
        LaunchElements(_kernels[s_where, z.DType], PacksOf(z), z.Length, P(condition), P(x), P(y), P(z));

    public override void Cast(Storage x, Storage y)
    {
        if (x.DType == y.DType)
            Copy(x, y);
        else
            LaunchElements(_kernels[CastFrom(x.DType), y.DType], FoursOf(y), y.Length, P(x), P(y));
    }

    private static KernelSlot CastFrom(DType type) => type switch
    {
        DType.Float32 => s_castFloat32,
        DType.BFloat16 => s_castBFloat16,
        _ => s_castInt32,
    };

    public override void Broadcast(in BroadcastGeometry g, Storage x, Storage y)
    {
        // The output is contiguous; strides B are not those of anything here.
        var walk = new StridedWalk(g);
        for (int i = 0, stride = 1; i < walk.Rank; stride *= walk.Extent[i++])
            walk.StrideB[i] = stride;
        CopyStrided(walk, P(x), P(y), y.DType.Size());
    }

    /// <summary>Threads where each makes 16 bytes.</summary>
    private static int PacksOf(Storage y) => CeilDiv(y.Length, PackSize(y.DType));

    private static bool IsPacked(DevicePointer x) => x.Address % 16 == 0;

    /// <summary>Whether every row of an input is one repeated element, or whole packs that begin at 16 bytes.</summary>
    private static bool IsRowsOfPacks(in StridedWalk walk, in StridedWalk.Axes strides, DevicePointer x, int size)
    {
        if (walk.Extent[0] % size != 0)
            return false;
        if (strides[0] == 0)
            return true;
        for (int axis = 1; axis < walk.Rank; axis++)
        {
            if (strides[axis] % size != 0)
                return false;
        }
        return IsPacked(x);
    }
}
