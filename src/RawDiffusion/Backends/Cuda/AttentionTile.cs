using RawDiffusion.Backends.Cuda.Ladders;

namespace RawDiffusion.Backends.Cuda;

/// <summary>
/// A kernel of <c>kernels/attention_mma*.cu</c> and the shape of its blocks, as the macros at the end of those files say it: each warp of
/// four makes 16 or 32 rows of queries (of keys in their gradient) and passes over the other side by tiles.
/// </summary>
/// <param name="What">The name without the width: <c>grad_query</c>.</param>
/// <param name="Width">The widest head it takes, in elements; narrower ones are filled up with zeros in shared memory.</param>
/// <param name="Columns">Columns of the result that a block makes; wider heads are done in slices, each of which makes the scores anew.</param>
/// <param name="Tile">Rows of the other side in a tile.</param>
/// <param name="Held">Whether a block's own rows are in registers; else they are in shared memory.</param>
internal sealed record AttentionTile(string What, DType Type, int Width, int Columns, int Tile, bool Held = true, int Rows = 64)
{
    public const int Threads = 128;

    private static readonly AttentionTile[] s_forward =
    [
        new("forward", DType.BFloat16, 16, 16, 64),
        new("forward", DType.BFloat16, 32, 32, 64),
        new("forward", DType.BFloat16, 64, 64, 64),
        new("forward", DType.BFloat16, 128, 128, 64),
        new("forward", DType.BFloat16, 256, 256, 16),
        new("forward", DType.Float32, 32, 32, 64),
        new("forward", DType.Float32, 64, 64, 32),
        new("forward", DType.Float32, 128, 128, 32),
        new("forward", DType.Float32, 256, 128, 16),
    ];

    private static readonly AttentionTile[] s_twoStrips =
    [
        new("forward_long", DType.BFloat16, 32, 32, 64, Rows: 128),
        new("forward_long", DType.BFloat16, 64, 64, 64, Rows: 128),
        new("forward_long", DType.Float32, 32, 32, 64, Rows: 128),
        new("forward_long", DType.Float32, 64, 64, 32, Rows: 128),
    ];

    private static readonly AttentionTile[] s_gradQuery =
    [
        new("grad_query", DType.BFloat16, 16, 16, 64),
        new("grad_query", DType.BFloat16, 32, 32, 64),
        new("grad_query", DType.BFloat16, 64, 64, 32),
        new("grad_query", DType.BFloat16, 128, 128, 32),
        new("grad_query", DType.BFloat16, 256, 256, 16, Held: false),
        new("grad_query", DType.Float32, 32, 32, 32),
        new("grad_query", DType.Float32, 64, 64, 32),
        new("grad_query", DType.Float32, 128, 128, 16, Held: false),
        new("grad_query", DType.Float32, 256, 256, 16, Held: false),
    ];

    private static readonly AttentionTile[] s_gradKeyValue =
    [
        new("grad_key_value", DType.BFloat16, 16, 16, 64),
        new("grad_key_value", DType.BFloat16, 32, 32, 32),
        new("grad_key_value", DType.BFloat16, 64, 64, 32),
        new("grad_key_value", DType.BFloat16, 128, 128, 32, Held: false),
        new("grad_key_value", DType.BFloat16, 256, 128, 16, Held: false),
        new("grad_key_value", DType.Float32, 32, 32, 32),
        new("grad_key_value", DType.Float32, 64, 64, 32),
        new("grad_key_value", DType.Float32, 128, 128, 16, Held: false),
        new("grad_key_value", DType.Float32, 256, 128, 16, Held: false),
    ];

    public KernelSlot Slot { get; } = new(
        What.StartsWith("grad", StringComparison.Ordinal) ? AttentionLadder.TensorTf32Grad.File : AttentionLadder.TensorTf32.File,
        $"attention_mma_{What}_{Width}");

    /// <summary>Dynamic shared memory of a block: two tiles of each of two tensors, twice since the next ones come while these are used.</summary>
    public int SharedBytes
    {
        get
        {
            int size = Type.Size();
            return What switch
            {
                "grad_query" => OwnRows(size) + 4 * Tile * Width * size,
                // With the logarithms of sums and the mean gradients of the tile's queries.
                "grad_key_value" => OwnRows(size) + 4 * Tile * Width * size + 4 * Tile * sizeof(float),
                _ => 2 * Tile * (Width + Columns) * size,
            };
        }
    }

    /// <summary>The narrowest that takes a head, or null.</summary>
    public static AttentionTile? Forward(DType type, int width) => Narrowest(s_forward, type, width);

    /// <summary>The same with 32 rows for each warp.</summary>
    public static AttentionTile? TwoStrips(DType type, int width) => Narrowest(s_twoStrips, type, width);

    public static AttentionTile? GradQuery(DType type, int width) => Narrowest(s_gradQuery, type, width);

    public static AttentionTile? GradKeyValue(DType type, int width) => Narrowest(s_gradKeyValue, type, width);

    private int OwnRows(int size) => Held ? 0 : 2 * Rows * Width * size;

    private static AttentionTile? Narrowest(AttentionTile[] tiles, DType type, int width)
    {
        foreach (var tile in tiles)
        {
            if (tile.Type == type && tile.Width >= width)
                return tile;
        }
        return null;
    }
}
